"""What a picture's file says of its creator and its use: XMP, IPTC-IIM, EXIF, texts of PNG, C2PA.

What belongs here: finding these within a file, and reading them without trusting them. What does not: the process in
which it is done (`pictures/confined/`), which statements reserve a picture (`sql/catalog/rights.sql`).
"""
