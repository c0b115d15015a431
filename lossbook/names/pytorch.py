"""The losses of ``torch.nn``, each with its twin in ``torch.nn.functional``."""

from lossbook.names.entry import Entry

ENTRIES = (
    Entry(
        "AdaptiveLogSoftmaxWithLoss",
        note=(
            "An approximation of the softmax cross-entropy for very many classes, which first "
            "chooses a group of classes {cite:p}`grave2017`. {ref}`The softmax chapter "
            "<ch-softmax-cross-entropy>` has the exact loss for a large vocabulary."
        ),
    ),
    Entry(
        "BCELoss",
        "binary_cross_entropy",
        "binary_cross_entropy(p, t).mean()",
        "torch.nn.BCELoss()(p, t)",
        also=("binary_cross_entropy",),
    ),
    Entry(
        "BCEWithLogitsLoss",
        "sigmoid_binary_cross_entropy",
        "sigmoid_binary_cross_entropy(p, t).mean()",
        "torch.nn.BCEWithLogitsLoss()(p, t)",
        also=("binary_cross_entropy_with_logits",),
    ),
    Entry(
        "CTCLoss",
        note=(
            "Sums the likelihood over all alignments of two sequences by dynamic programming "
            "{cite:p}`graves2006`. Its terms are the log-probabilities of {ref}`the softmax "
            "chapter "
            "<ch-softmax-cross-entropy>`."
        ),
        also=("ctc_loss",),
    ),
    Entry(
        "CosineEmbeddingLoss",
        "contrastive",
        "contrastive(unit(p), unit(t), ones(u)) / 2",
        "torch.nn.CosineEmbeddingLoss(reduction='none')(p, t, torch.ones(len(p)))",
        "1 - (p * t).sum(axis=-1) / (norm(p) * norm(t))",
        note=(
            "This holds for pairs that belong together. Other pairs cost the cosine itself, "
            "where it is above the margin."
        ),
        also=("cosine_embedding_loss",),
    ),
    Entry(
        "CrossEntropyLoss",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t).mean()",
        "torch.nn.CrossEntropyLoss()(p, t)",
        also=("cross_entropy",),
    ),
    Entry(
        "GaussianNLLLoss",
        "gaussian_nll",
        "gaussian_nll(p, t).mean()",
        "torch.nn.GaussianNLLLoss()(p[:, 0], t, p[:, 1].exp())",
        note="Takes mean and variance apart. This book takes mean and log-variance in one row.",
        also=("gaussian_nll_loss",),
    ),
    Entry(
        "HingeEmbeddingLoss",
        "contrastive",
        "sqrt(contrastive(p, t, u, margin=1.0))",
        "torch.nn.HingeEmbeddingLoss(reduction='none')((p - t).norm(dim=-1), 2 * u - 1)",
        "u * norm(p - t) + (1 - u) * maximum(0, 1 - norm(p - t))",
        note="Of distances that you compute. It is not a hinge loss of scores.",
        also=("hinge_embedding_loss",),
    ),
    Entry(
        "HuberLoss",
        "huber",
        "huber(p, t).mean()",
        "torch.nn.HuberLoss()(p, t)",
        also=("huber_loss",),
    ),
    Entry(
        "KLDivLoss",
        "kl_divergence",
        "kl_divergence(p, t).mean()",
        "torch.nn.KLDivLoss(reduction='batchmean')(p, t)",
        note="`reduction='mean'`, its default, divides by the number of classes too.",
        also=("kl_div",),
    ),
    Entry(
        "L1Loss",
        "absolute_error",
        "absolute_error(p, t).mean()",
        "torch.nn.L1Loss()(p, t)",
        also=("l1_loss",),
    ),
    Entry(
        "LinearCrossEntropyLoss",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t).mean()",
        "linear_cross_entropy(p, t)",
        note="Computes the logits itself, from features and the weights of the last layer.",
        also=("linear_cross_entropy",),
    ),
    Entry(
        "MSELoss",
        "squared_error",
        "squared_error(p, t).mean()",
        "torch.nn.MSELoss()(p, t)",
        also=("mse_loss",),
    ),
    Entry(
        "MarginRankingLoss",
        "hinge",
        "hinge(p, t).mean()",
        "torch.nn.MarginRankingLoss(margin=1)(p, torch.zeros_like(p), t)",
        note="A hinge loss of the difference of two scores; `margin` is 0 by default.",
        also=("margin_ranking_loss",),
    ),
    Entry(
        "MultiLabelMarginLoss",
        "hinge",
        "(hinge(own(p, t)[:, None] - p, ones(p)).sum(axis=-1) - 1) / p.shape[-1]",
        "torch.nn.MultiLabelMarginLoss(reduction='none')(p, padded_ids(p, t))",
        "(maximum(0, 1 - own(p, t)[:, None] + p).sum(axis=-1) - 1) / p.shape[-1]",
        note="Shown for one true class; with several, the sum runs over all pairs.",
        also=("multilabel_margin_loss",),
        arrays="multiclass_hinge",
    ),
    Entry(
        "MultiLabelSoftMarginLoss",
        "sigmoid_binary_cross_entropy",
        "sigmoid_binary_cross_entropy(p, t).mean()",
        "torch.nn.MultiLabelSoftMarginLoss()(p[:, None], t[:, None])",
        note="The mean over the labels of an example, then over the examples.",
        also=("multilabel_soft_margin_loss",),
    ),
    Entry(
        "MultiMarginLoss",
        "hinge",
        "(hinge(own(p, t)[:, None] - p, ones(p)).sum(axis=-1) - 1) / p.shape[-1]",
        "torch.nn.MultiMarginLoss(reduction='none')(p, t)",
        "(maximum(0, 1 - own(p, t)[:, None] + p).sum(axis=-1) - 1) / p.shape[-1]",
        note=(
            "Weston and Watkins's loss over the number of classes. It is not `multiclass_hinge`, "
            "which takes the largest rival alone."
        ),
        also=("multi_margin_loss",),
        arrays="multiclass_hinge",
    ),
    Entry(
        "NLLLoss",
        "categorical_cross_entropy",
        "categorical_cross_entropy(p, t).mean()",
        "torch.nn.NLLLoss()(p.log(), t.argmax(dim=1))",
        note="Takes log-probabilities and class ids. `NLLLoss2d` is an old name for it.",
        also=("nll_loss", "NLLLoss2d"),
    ),
    Entry(
        "PoissonNLLLoss",
        "poisson_nll",
        "poisson_nll(p, t).mean()",
        "torch.nn.PoissonNLLLoss()(p, t)",
        also=("poisson_nll_loss",),
    ),
    Entry(
        "SmoothL1Loss",
        "smooth_l1",
        "smooth_l1(p, t).mean()",
        "torch.nn.SmoothL1Loss()(p, t)",
        also=("smooth_l1_loss",),
    ),
    Entry(
        "SoftMarginLoss",
        "logistic",
        "logistic(p, t).mean()",
        "torch.nn.SoftMarginLoss()(p, t)",
        also=("soft_margin_loss",),
    ),
    Entry(
        "TripletMarginLoss",
        "triplet",
        "triplet(p, t, u, margin=1.0, squared=False).mean()",
        "torch.nn.TripletMarginLoss(eps=0)(p, t, u)",
        note="Distances are not squared, the margin is 1, and each difference is moved by 1e-6.",
        also=("triplet_margin_loss",),
    ),
    Entry(
        "TripletMarginWithDistanceLoss",
        "triplet",
        "triplet(p, t, u, margin=1.0).mean()",
        "torch.nn.TripletMarginWithDistanceLoss("
        "distance_function=lambda a, b: (a - b).square().sum(-1))(p, t, u)",
        note="Takes any distance; with the squared one it is this book's default.",
        also=("triplet_margin_with_distance_loss",),
    ),
)
