"""What builds the things that are given to artists; none of it is in the add-on's zip.

lock.py        backend/requirements.json: the pinned, hashed files for each kind of computer (`make lock`)
wheels.py      the wheels that travel in the zip: meshlam itself and pip
extension.py   the add-on's zip (`make extension`)
bundle.py      the offline bundle (`make bundle`)
repository.py  the static extension repository (`make extension-repo`)
"""
