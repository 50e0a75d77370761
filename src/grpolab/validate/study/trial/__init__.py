"""The trial of predictors: a protocol that was fixed first, its runs, and what they decide."""
