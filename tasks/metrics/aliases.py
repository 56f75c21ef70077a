"""Other names of the registered metrics: those of scikit-learn, of Kaggle's competitions, and common short ones."""

from __future__ import annotations

_NAMES = {
    "accuracy": "acc accuracy_score categorization_accuracy multiclass_accuracy classification_accuracy",
    "balanced_accuracy": "bacc balanced_accuracy_score",
    "f1": "f1_score f1_binary binary_f1 f_score",
    "f1_macro": "macro_f1 macro_f1_score f1_score_macro macro_f_score",
    "f1_micro": "micro_f1 micro_f1_score f1_score_micro micro_averaged_f1 f_score_micro",
    "f1_weighted": "weighted_f1 f1_score_weighted",
    "f1_samples": "mean_f1 mean_f_score samples_f1",
    "mcc": "matthews matthews_corrcoef matthews_correlation_coefficient",
    "quadratic_weighted_kappa": "qwk quadratic_kappa cohen_kappa_quadratic weighted_kappa",
    "roc_auc": "auc auroc roc_auc_score area_under_roc area_under_receiver_operating_characteristic_curve roc "
    "mean_columnwise_auc",
    "average_precision": "ap average_precision_score pr_auc auprc",
    "log_loss": "logloss cross_entropy neg_log_loss multiclass_loss multiclass_log_loss binary_log_loss "
    "multi_class_log_loss logarithmic_loss binary_crossentropy",
    "mean_columnwise_log_loss": "columnwise_log_loss mean_columnwise_logarithmic_loss",
    "brier": "brier_score brier_score_loss",
    "rmse": "root_mean_squared_error root_mean_square_error",
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "median_absolute_error": "medae median_ae",
    "rmsle": "root_mean_squared_logarithmic_error root_mean_squared_log_error",
    "mean_columnwise_rmsle": "mcrmsle mean_columnwise_root_mean_squared_logarithmic_error",
    "mcrmse": "mean_columnwise_root_mean_squared_error columnwise_rmse",
    "mape": "mean_absolute_percentage_error",
    "smape": "symmetric_mean_absolute_percentage_error",
    "pinball": "quantile_loss mean_pinball_loss",
    "r2": "r2_score r_squared coefficient_of_determination",
    "map": "mean_average_precision mapk",
    "ndcg": "ndcg_score normalized_discounted_cumulative_gain",
    "dice": "dice_coefficient mean_dice",
    "iou": "jaccard intersection_over_union mean_iou",
    "c_index": "cindex concordance_index concordance",
}

ALIASES = {alias: name for name, aliases in _NAMES.items() for alias in aliases.split()}
"""From an alias to the registered name."""
