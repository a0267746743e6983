"""Putting the backend onto this computer with nothing but Blender's own Python, and looking after it. Knows no Blender.

locate.py        where the backend is, and the program that is started
layout.py        the folders it lies in; which environment belongs to which Python
machine.py       what this computer is: system, processor, memory, graphics card
requirements.py  the pinned, hashed files for a kind of computer (requirements.json, made by `make lock`)
preflight.py     what would stop or slow an installation, in one sentence each
process.py       running a program so that it can be stopped whole
wheels.py        getting the files: pip and its errors, or an offline bundle
install.py       the steps: install, update, repair, remove
check.py         whether what Reconstruct needs is there
setup.py         the thread that does it, and what the panel shows meanwhile
"""
