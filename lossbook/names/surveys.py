"""The losses that two surveys name: one of deep learning at large, one of segmentation.

TERVEN are those of Tables 1 to 3, and the softmax loss of section 7.1.1, of J. Terven,
D. M. Cordova-Esparza, J. A. Romero-González, A. Ramírez-Pedraza and E. A. Chávez-Urbiola, "A
comprehensive survey of loss functions and metrics in deep learning", *Artificial Intelligence
Review* 58, 195 (2025). JADON are the fifteen of S. Jadon, "A survey of loss functions for semantic
segmentation", *CIBCB* (2020).
"""

from lossbook.names.entry import Entry

_CIRCLE = Entry(
    "Circle loss",
    note=(
        "Weighs each similarity by how far it is from its optimum {cite:p}`sun2020`. "
        "{ref}`The embedding chapter <ch-embedding-losses>` has the losses that it unites."
    ),
)
_MARGIN = (
    "Of {}, here with scale 8 and margin 1/4. {{ref}}`The embedding chapter <ch-embedding-losses>` "
    "derives it."
)
_REWARD = (
    "Training by a reward that need not be differentiable. {ref}`Chapter 14 <ch-choosing>` derives "
    "its gradient, the policy gradient {cite:p}`williams1992`."
)
_OWN = "own(softmax(p), t)"

TERVEN = (
    Entry("Mean Squared Error (MSE)", "squared_error", "squared_error(p, t).mean()"),
    Entry("Mean Absolute Error (MAE)", "absolute_error", "absolute_error(p, t).mean()"),
    Entry("Huber loss", "huber", "huber(p, t)"),
    Entry("Log-Cosh", "log_cosh", "log_cosh(p, t)"),
    Entry("Quantile loss", "quantile", "quantile(p, t, level=0.9)"),
    Entry(
        "Poisson loss",
        "poisson_nll",
        "poisson_nll(p, t)",
        note="Often of the rate; this book's takes its logarithm.",
    ),
    Entry("Binary Cross-Entropy (BCE)", "binary_cross_entropy", "binary_cross_entropy(p, t)"),
    Entry(
        "Weighted Cross-Entropy",
        "sigmoid_binary_cross_entropy",
        "sigmoid_binary_cross_entropy(p, t, pos_weight=3.0)",
        note="With several classes, `softmax_cross_entropy` with `weights=class_weights[ids]`.",
    ),
    Entry("Hinge loss", "hinge", "hinge(p, t)"),
    Entry(
        "Focal loss",
        "sigmoid_focal",
        "sigmoid_focal(p, t)",
        note="With several classes `softmax_focal`.",
    ),
    Entry(
        "Categorical Cross-Entropy (CCE)",
        "categorical_cross_entropy",
        "categorical_cross_entropy(p, t)",
        note="Of logits, `softmax_cross_entropy`.",
    ),
    Entry(
        "Sparse Categorical Cross-Entropy (SCCE)",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t)",
        note="Sparse means that labels are class ids.",
    ),
    Entry(
        "CCE with label smoothing",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t, label_smoothing=0.1)",
    ),
    Entry(
        "PolyLoss",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t) + 2 * generalized_cross_entropy(p, t, q=1.0)",
        "",
        f"-log({_OWN}) + 2 * (1 - {_OWN})",
        note=(
            "The cross-entropy is a series in $1 - p$; its first term is raised {cite:p}`leng2022`."
        ),
    ),
    Entry(
        "Negative Log-Likelihood (NLL)",
        "categorical_cross_entropy",
        "categorical_cross_entropy(p, t)",
        note="Any likelihood makes one: {ref}`chapter 3 <ch-likelihood>`.",
    ),
    Entry("Smooth L1", "smooth_l1", "smooth_l1(p, t)"),
    Entry(
        "Balanced L1",
        note="Raises the slope of small errors of a smooth L1 loss {cite:p}`pang2019`.",
    ),
    Entry(
        "Intersection over Union loss (IoU)",
        "jaccard",
        "jaccard(p, t)",
        note=(
            "Of masks. Of boxes it is `giou` without the last term, in {ref}`the chapter on "
            "segmentation and boxes <ch-segmentation>`."
        ),
    ),
    Entry("GIoU", "giou", "giou(p, t)"),
    Entry(
        "DIoU and CIoU",
        note=(
            "{ref}`The chapter on segmentation and boxes <ch-segmentation>` says what they add to "
            "`giou` {cite:p}`zheng2020`."
        ),
    ),
    Entry(
        "YOLO loss",
        note=(
            "A weighted sum of squared errors of boxes, confidences and classes "
            "{cite:p}`redmon2016`. {ref}`Chapter 14 <ch-choosing>` is about such weights."
        ),
    ),
    Entry(
        "Wing loss",
        note="A logarithm near 0 and an absolute error beyond {cite:p}`feng2018`.",
    ),
    Entry("Dice loss", "dice", "dice(p, t)"),
    Entry("Tversky loss", "tversky", "tversky(p, t, alpha=0.25, beta=0.75)"),
    Entry(
        "Lovász loss",
        note="Extends the Jaccard loss of hard masks to errors of any size {cite:p}`berman2018`.",
    ),
    Entry(
        "Softmax loss",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t)",
        note="Another name in face recognition.",
    ),
    Entry(
        "A-Softmax (SphereFace)",
        note=(
            "Multiplies the own angle {cite:p}`liu2017`, where ArcFace adds to it. {ref}`The "
            "embedding chapter <ch-embedding-losses>` derives the two that came after it."
        ),
    ),
    Entry(
        "Center loss",
        "half_squared_error",
        "half_squared_error(p, t).sum()",
        "",
        "norm(p - t) ** 2 / 2",
        note="Of a point `p` and the centre `t` of its class, which moves along {cite:p}`wen2016`.",
    ),
    Entry(
        "CosFace",
        "softmax_cross_entropy",
        "softmax_cross_entropy(8 * (p - 0.25 * one_hot(t, p)), t)",
        "",
        "log(exp(8 * (own(p, t) - 0.25)) + exp(8 * p).sum(axis=-1) - exp(8 * own(p, t)))"
        " - 8 * (own(p, t) - 0.25)",
        note=_MARGIN.format("cosines"),
    ),
    Entry(
        "ArcFace",
        "softmax_cross_entropy",
        "softmax_cross_entropy(8 * cos(p + 0.25 * one_hot(t, p)), t)",
        "",
        "log(exp(8 * cos(own(p, t) + 0.25)) + exp(8 * cos(p)).sum(axis=-1)"
        " - exp(8 * cos(own(p, t)))) - 8 * cos(own(p, t) + 0.25)",
        note=_MARGIN.format("angles"),
    ),
    Entry("Triplet loss", "triplet", "triplet(p, t, u)"),
    Entry("Contrastive loss", "contrastive", "contrastive(p, t, u)"),
    _CIRCLE,
    Entry(
        "Barlow Twins",
        note=(
            "A squared error between the correlations of two views' coordinates and the identity "
            "matrix, over a whole batch {cite:p}`zbontar2021`."
        ),
    ),
    Entry(
        "SimSiam",
        "contrastive",
        "contrastive(unit(p), unit(t), ones(u)) / 2 - 1",
        "",
        "-(p * t).sum(axis=-1) / (norm(p) * norm(t))",
        note="Minus the cosine of two views, of which one is held fixed {cite:p}`chen2021simsiam`.",
    ),
    Entry(
        "Point-wise error",
        "absolute_error",
        "absolute_error(p, t)",
        note="Or a squared error, pixel by pixel.",
    ),
    Entry(
        "Scale-invariant error",
        "squared_error",
        "squared_error(p - t, (p - t).mean() * ones(p)).mean()",
        "",
        "((p - t) ** 2).mean() - (p - t).mean() ** 2",
        note=(
            "Of logarithms of depths, here with their common shift free. "
            "{cite:t}`eigen2014` train with half of the second term."
        ),
    ),
    Entry(
        "Structural Similarity Index (SSIM)",
        note=(
            "Compares means, spreads and correlations of small windows {cite:p}`wang2004`, and not "
            "pixel with pixel."
        ),
    ),
    Entry(
        "Photometric loss",
        note=(
            "A mix of SSIM and an absolute error, between an image and another view of the scene "
            "that the depth has warped."
        ),
    ),
    Entry(
        "Disparity smoothness",
        "absolute_error",
        "absolute_error(p[1:], p[:-1]).mean()",
        "",
        "abs(p[1:] - p[:-1]).mean()",
        note="Between neighbours, weighted down where the image has an edge {cite:p}`godard2017`.",
    ),
    Entry(
        "Appearance matching",
        note="A mix of SSIM and an absolute error {cite:p}`godard2017`.",
    ),
    Entry(
        "Left-right consistency",
        "absolute_error",
        "absolute_error(p, t).mean()",
        note="Between the disparities of the left view and of the right {cite:p}`godard2017`.",
    ),
    Entry(
        "BerHu loss",
        "absolute_error",
        "absolute_error(p, t) + maximum(0, absolute_error(p, t) - 1) ** 2 / 2",
        "",
        "below(abs(p - t), 1, abs(p - t), ((p - t) ** 2 + 1) / 2)",
        note="A Huber loss the other way round: straight inside, a parabola outside.",
    ),
    Entry(
        "Edge loss",
        note="Compares the slopes of the predicted depth with those of the image.",
    ),
    Entry(
        "Minimum reprojection",
        note="For each pixel the least photometric loss over several views {cite:p}`godard2019`.",
    ),
    Entry(
        "Scale-and-shift-invariant (SSI)",
        note=(
            "A squared error after the best shift and scale of the prediction, or an absolute "
            "error of maps that are both brought to one median and spread {cite:p}`ranftl2022`."
        ),
    ),
    Entry(
        "Reconstruction loss",
        "squared_error",
        "squared_error(p, t).mean()",
        note="Why it blurs is run in {ref}`the chapter on distributions <ch-distributions>`.",
    ),
    Entry("KL divergence", "kl_divergence", "kl_divergence(p, t)"),
    Entry(
        "Perceptual loss",
        note=(
            "A squared error between the features that a trained network finds "
            "{cite:p}`johnson2016`."
        ),
    ),
    Entry(
        "Adversarial loss",
        "sigmoid_binary_cross_entropy",
        "sigmoid_binary_cross_entropy(p, t)",
        note="Of a second network that tells real from made {cite:p}`goodfellow2014`.",
    ),
    Entry(
        "Wasserstein loss",
        "wasserstein_1d",
        "wasserstein_1d(p, t)",
        note=(
            "In one dimension. {ref}`The chapter on distributions <ch-distributions>` says under "
            "what condition a critic estimates it."
        ),
    ),
    Entry(
        "Negative log-likelihood of normalizing flows",
        note="A likelihood by the change of variables {cite:p}`rezende2015`.",
    ),
    Entry(
        "Contrastive divergence",
        note=(
            "A difference of two divergences, whose gradient is approximated {cite:p}`hinton2002`."
        ),
    ),
    Entry("Token-level cross-entropy", "softmax_cross_entropy", "softmax_cross_entropy(p, t)"),
    Entry(
        "Cosine similarity loss",
        "contrastive",
        "contrastive(unit(p), unit(t), ones(u)) / 2",
        "",
        "1 - (p * t).sum(axis=-1) / (norm(p) * norm(t))",
    ),
    Entry(
        "Marginal ranking loss",
        "hinge",
        "hinge(p, t)",
        note="A hinge loss of the difference of two scores.",
    ),
    Entry(
        "CTC",
        note=(
            "Sums the likelihood over all alignments of two sequences by dynamic programming "
            "{cite:p}`graves2006`."
        ),
    ),
    Entry("Minimum Risk Training (MRT)", note=_REWARD),
    Entry("REINFORCE", note=_REWARD),
)

JADON = (
    Entry("Binary cross-entropy", "binary_cross_entropy", "binary_cross_entropy(p, t)"),
    Entry(
        "Weighted cross-entropy",
        "binary_cross_entropy",
        "sigmoid_binary_cross_entropy(log(p / (1 - p)), t, pos_weight=3.0)",
        "",
        "-(3 * t * log(p) + (1 - t) * log(1 - p))",
        note="`pos_weight` is the weight of label 1.",
    ),
    Entry(
        "Balanced cross-entropy",
        "binary_cross_entropy",
        "0.25 * sigmoid_binary_cross_entropy(log(p / (1 - p)), t, pos_weight=3.0)",
        "",
        "-(0.75 * t * log(p) + 0.25 * (1 - t) * log(1 - p))",
        note="Both labels are weighted, here by 3/4 and 1/4.",
    ),
    Entry("Focal loss", "sigmoid_focal", "sigmoid_focal(p, t, gamma=2.0, alpha=0.25)"),
    Entry(
        "Distance map derived loss penalty term",
        note=(
            "A cross-entropy whose weights grow towards the edge of a mask {cite:p}`caliva2019`. "
            "The argument `weights` takes them."
        ),
    ),
    Entry("Dice loss", "dice", "dice(p, t)"),
    Entry(
        "Sensitivity-specificity loss",
        "tversky",
        "0.25 * (1 - tversky(p, t, alpha=0.0, beta=1.0))"
        " + 0.75 * (1 - tversky(1 - p, 1 - t, alpha=0.0, beta=1.0))",
        "",
        "0.25 * (p * t).sum(axis=-1) / t.sum(axis=-1)"
        " + 0.75 * ((1 - p) * (1 - t)).sum(axis=-1) / (1 - t).sum(axis=-1)",
        note="A mix of both, which is maximised; the loss is one minus it.",
    ),
    Entry("Tversky loss", "tversky", "tversky(p, t, alpha=0.25, beta=0.75)"),
    Entry(
        "Focal Tversky loss",
        "tversky",
        "tversky(p, t, alpha=0.25, beta=0.75) ** 2",
        "",
        "(1 - (p * t).sum(axis=-1) / ((p * t).sum(axis=-1) + 0.25 * (p * (1 - t)).sum(axis=-1)"
        " + 0.75 * ((1 - p) * t).sum(axis=-1))) ** 2",
        note=(
            "A power of the Tversky loss, here the second, as the survey writes it. "
            "{cite:t}`abraham2019` take a power below 1."
        ),
    ),
    Entry(
        "Log-cosh Dice loss",
        "dice",
        "log_cosh(dice(p, t), zeros(dice(p, t)))",
        "",
        "log((exp(dice(p, t)) + exp(-dice(p, t))) / 2)",
    ),
    Entry(
        "Hausdorff distance loss",
        note=(
            "Squared errors weighted by the distance from the edges of masks {cite:p}`karimi2020`."
        ),
    ),
    Entry(
        "Shape-aware loss",
        note="A cross-entropy whose weights grow with the distance between two outlines.",
    ),
    Entry(
        "Combo loss",
        "dice",
        "0.5 * binary_cross_entropy(p, t).mean(axis=-1) + 0.5 * dice(p, t)",
        "",
        "0.5 * (-(t * log(p) + (1 - t) * log(1 - p))).mean(axis=-1)"
        " + 0.5 * (1 - 2 * (p * t).sum(axis=-1) / (p.sum(axis=-1) + t.sum(axis=-1)))",
        note=(
            "A weighted sum of the two {cite:p}`taghanaki2019`, trained in {ref}`the chapter on "
            "segmentation <ch-segmentation>`."
        ),
    ),
    Entry(
        "Exponential logarithmic loss",
        "dice",
        "log(1 - dice(p, t)) ** 2",
        "",
        "log(2 * (p * t).sum(axis=-1) / (p.sum(axis=-1) + t.sum(axis=-1))) ** 2",
        note=(
            "Its first part; the second is a weighted power of the cross-entropy "
            "{cite:p}`wong2018`."
        ),
    ),
    Entry(
        "Correlation maximized structural similarity loss",
        note="Weighs a cross-entropy by how far windows are from correlated {cite:p}`zhao2019`.",
    ),
)
