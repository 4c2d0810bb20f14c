"""What the developers of ccapi run, and its users never see."""
