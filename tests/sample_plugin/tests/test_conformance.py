from gaitbench_sample.dataset import BlobsBuilder, BlobsOptions
from gaitbench_sample.metric import reciprocal_rank
from gaitbench_sample.model import SampleMean, SampleMeanConfig
from gaitbench_sample.plugin import OUTLINE

from gaitbench.testing import check_dataset, check_metric, check_modality, check_model, check_plugin


def test_plugin() -> None:
    check_plugin("gaitbench-sample")


def test_model() -> None:
    check_model(SampleMean(SampleMeanConfig(width=8)))


def test_dataset() -> None:
    check_dataset(BlobsBuilder(BlobsOptions()))


def test_metric() -> None:
    check_metric(reciprocal_rank)


def test_modality() -> None:
    check_modality(OUTLINE)
