"""The command line of whoever runs the stack: `make operate`."""
