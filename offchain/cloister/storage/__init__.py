"""What is kept on disks and in stores: the journal, blobs and key files."""
