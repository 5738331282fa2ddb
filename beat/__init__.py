"""The beat schedule and how its entries are carried out."""
