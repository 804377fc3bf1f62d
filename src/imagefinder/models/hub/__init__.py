"""Files of the Hugging Face hub, verified and pinned.

files     fetch, look up, forget
transfer  from the hub, going on where a download was cut off
cache     the folders that other programs use, too
pins      what was fetched first, and has to be the same ever after
errors    what can go wrong, in words that say what to do
"""
