"""The app inside MONAI Label: the only part of the collection that needs ``monailabel``.

- `LabelApp`: the app as MONAI Label loads it (``main.py`` of this folder), out of the tasks that it
  asks for: answers, training, scoring and strategies for each bundle;
- `Studies`: the folder of the images as MONAI Label's datastore;
- `web_app`: the web server: the routes that are served, and what they refuse; ``/review``.
- `serve`: start it.
"""
