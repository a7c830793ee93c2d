# Environment of every host of a Grokmap cluster, read by ~/.bashrc. Rendered from cluster/launch/recipe.py: edit that.
export PATH="$HOME/grokmap/.venv/bin:$PATH" PYTHONPATH="$HOME/grokmap"
# The password of a locked MLflow server (`python -m cluster.services lock`).
if [ -f ~/.grokmap/mlflow.env ]; then set -a; . ~/.grokmap/mlflow.env; set +a; fi
# The command, where it is not installed: `grokmap map results/NAME` and the others.
grokmap() { python -c "from sweeps.cli import main; main()" "$@"; }
export RAY_AUTH_MODE="${RAY_AUTH_MODE:-token}"
export RAY_USAGE_STATS_ENABLED="${RAY_USAGE_STATS_ENABLED:-0}"
export RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL="${RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL:-minor}"
export AUTOSCALER_METRIC_PORT="${AUTOSCALER_METRIC_PORT:-6386}"
export DASHBOARD_METRIC_PORT="${DASHBOARD_METRIC_PORT:-6387}"
export RAY_health_check_initial_delay_ms="${RAY_health_check_initial_delay_ms:-5000}"
export RAY_health_check_period_ms="${RAY_health_check_period_ms:-3000}"
export RAY_health_check_timeout_ms="${RAY_health_check_timeout_ms:-5000}"
export RAY_health_check_failure_threshold="${RAY_health_check_failure_threshold:-3}"
export AUTOSCALER_HEARTBEAT_TIMEOUT_S="${AUTOSCALER_HEARTBEAT_TIMEOUT_S:-20}"
export AUTOSCALER_UPDATE_INTERVAL_S="${AUTOSCALER_UPDATE_INTERVAL_S:-2}"
export MLFLOW_TRACKING_URI="${MLFLOW_TRACKING_URI:-http://127.0.0.1:5000}"
export PYTHONDONTWRITEBYTECODE="${PYTHONDONTWRITEBYTECODE:-1}"
