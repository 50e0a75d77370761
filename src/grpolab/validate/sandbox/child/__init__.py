"""What runs inside the sandbox: the standard library only, and no module of the rest of grpolab."""
