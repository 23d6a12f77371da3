"""What single file formats and programs do differently, a module for each."""
