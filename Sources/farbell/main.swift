print("farbell")
