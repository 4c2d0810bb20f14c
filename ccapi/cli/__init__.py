"""What a person types and sees. The only room that imports typer, rich and questionary."""
