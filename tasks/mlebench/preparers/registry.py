"""The preparer of each competition."""

from __future__ import annotations

from collections.abc import Callable

from tasks.mlebench.builder import DataBuilder
from tasks.mlebench.preparers import audio, images, melanoma, tables, texts

PREPARERS: dict[str, Callable[[DataBuilder], None]] = {
    "aerial-cactus-identification": images.cactus,
    "aptos2019-blindness-detection": images.retina,
    "denoising-dirty-documents": images.documents,
    "detecting-insults-in-social-commentary": texts.insults,
    "dog-breed-identification": images.breeds,
    "dogs-vs-cats-redux-kernels-edition": images.cats,
    "histopathologic-cancer-detection": images.tissue,
    "jigsaw-toxic-comment-classification-challenge": texts.toxic,
    "leaf-classification": images.leaves,
    "mlsp-2013-birds": audio.birds,
    "new-york-city-taxi-fare-prediction": tables.taxi,
    "nomad2018-predict-transparent-conductors": tables.conductors,
    "plant-pathology-2020-fgvc7": images.apples,
    "random-acts-of-pizza": tables.pizza,
    "ranzcr-clip-catheter-line-classification": images.catheters,
    "siim-isic-melanoma-classification": melanoma.melanoma,
    "spooky-author-identification": texts.authors,
    "tabular-playground-series-dec-2021": tables.forest,
    "tabular-playground-series-may-2022": tables.interactions,
    "text-normalization-challenge-english-language": texts.normalization("en"),
    "text-normalization-challenge-russian-language": texts.normalization("ru"),
    "the-icml-2013-whale-challenge-right-whale-redux": audio.whales,
    "spaceship-titanic": tables.spaceship,
    "playground-series-s3e18": tables.enzymes,
    "paddy-disease-classification": images.paddy,
    "plant-seedlings-classification": images.seedlings,
    "invasive-species-monitoring": images.hydrangeas,
    "movie-review-sentiment-analysis-kernels-only": texts.phrases,
    "ml2021spring-hw2": tables.phonemes,
}
