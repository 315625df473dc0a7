"""Search over trials: the only home of Ray and Optuna."""
