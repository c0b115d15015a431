import numpy as np
import pytest

from lossbook.data import load_breast_cancer, load_diabetes


@pytest.mark.parametrize(
    ("load", "shape"), [(load_diabetes, (442, 10)), (load_breast_cancer, (569, 30))]
)
def test_parts_fit_together(load, shape):
    table = load()
    assert table.features.shape == shape
    assert table.features.dtype == np.float64
    assert table.target.shape == shape[:1]
    assert len(set(table.names)) == shape[1]
    assert all(type(name) is str for name in table.names)
    assert np.isfinite(table.features).all()


def test_diabetes_is_in_original_units():
    table = load_diabetes()
    columns = dict(zip(table.names, table.features.T, strict=True))
    assert columns["age"].min() == 19
    assert columns["age"].max() == 79
    assert set(columns["sex"]) == {1.0, 2.0}
    assert 18 <= columns["bmi"].min() < columns["bmi"].max() < 43
    assert (table.target.min(), table.target.max()) == (25, 346)


def test_breast_cancer_labels_malignant_as_0():
    table = load_breast_cancer()
    # Malignant masses have the larger nuclei: known apart from the coding.
    radius = table.features[:, table.names.index("mean radius")]
    assert np.bincount(table.target).tolist() == [212, 357]
    assert radius[table.target == 0].mean() > radius[table.target == 1].mean() + 4
