"""The embedded dataset: synthetic people who walk past a camera and a LiDAR.

``rgb`` and ``silhouette-raw`` show the same window: the mask is the person's, pixel by pixel, in the colour crop.

::

    options.py      what a user can choose
    attributes.py   the 15 attributes and how they go together
    people.py       a subject: body and gait
    curves.py       normative joint-angle curves
    motion.py       gait -> joints, feet on the ground
    solids.py       joints -> dressed body of convex solids
    recording.py    who walks where, dressed how, past which occluder
    rays.py         rays against solids, whole batches
    camera.py       windows, masks, what segmentation gets wrong
    lidar.py        points
    scene.py        what is behind the walkers
    photo.py        colour pictures, and masks in their frame
    skeletons.py    COCO joints as pose estimators give them
    truth.py        the same walk without errors, projected
    builder.py      all of it as a dataset
    protocol.py     who is probe and gallery
    preview.py      a contact sheet
"""
