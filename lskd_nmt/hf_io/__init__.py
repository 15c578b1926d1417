"""Models from Hugging Face: the only room that imports transformers, inside functions, so that all else starts fast.

It is an extra: pip install 'lskd_nmt[hf]'. Folders on disk are read as they are; a name is looked for as transformers
looks for it, in its cache and on the hub.
"""
