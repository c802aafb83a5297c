"""``inn vm``: one module for each part of a VM's life, imported when it is used."""
