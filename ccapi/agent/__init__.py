"""In the container: owns `claude` processes and turns what they print into typed run events."""
