"""What turns a user's code into nodes of a program."""
