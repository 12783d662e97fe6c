"""What one abusive client costs the others: each attack is played beside 100 quiet users of the reference site."""
