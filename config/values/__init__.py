"""Values with a type: money, phone, ids, ciphertext and digest. Pure: the standard library and single-purpose
packages, never Django."""
