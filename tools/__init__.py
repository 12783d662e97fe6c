"""What `make` needs beside the site itself."""
