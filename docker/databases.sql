-- Beside the service's own database: Optuna's studies, and MLflow's runs. Read once, when the volume
-- is empty.
CREATE DATABASE studies;
CREATE DATABASE mlflow;
