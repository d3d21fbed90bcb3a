"""What Flyte's protocol calls services: one module each."""
