"""A scripted Messages API: the model of demos, tests and checks without an account."""
