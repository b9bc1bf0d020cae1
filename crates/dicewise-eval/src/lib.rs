//! DSC, volume difference, ROC and significance
