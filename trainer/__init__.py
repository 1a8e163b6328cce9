"""The trainer: makes the model that the bridge deploys."""
