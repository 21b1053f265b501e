"""What several rooms of the package use and no user does."""
