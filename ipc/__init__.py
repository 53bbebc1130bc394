"""What the processes of edge-serve say to each other, and nothing else.

Everyone may import this package; it imports nothing of ours.
"""
