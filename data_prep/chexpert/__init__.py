"""CheXpert (Irvin et al. 2019) as grey PNG, de-identified, with five pathologies.

The source folder holds ``train.csv`` and ``valid.csv`` and the images they name (of CheXpert-v1.0
or its small copy); ``valid.csv``, read by three radiologists, is the test part, and a share
``--validation`` of the training patients is set aside. Frontal and lateral films are all taken.

Each image has one column a pathology of the competition: atelectasis, cardiomegaly, consolidation,
edema and pleural_effusion, 1 or 0, or -1 where it does not count: -1 in the CSV (uncertain, the
"U-Ignore" of the paper) and blank (not mentioned), unless the film is a 1 of "No Finding": then
blank is 0. So does the code of decoupled uniformity, which follows torchxrayvision. ``label`` says
whether any of the five is present: 1, 0 where all five are 0, else -1.

De-identified as `data_prep.chest_xray` does; of the CSV there remain sex, age and view. Patients,
which CheXpert numbers already, become p0001, p0002, ...

Counts to expect (the data set's page): 223 414 training and 234 test images; not run here.
"""

from data_prep.chexpert.source import PATHOLOGIES, add_arguments, plan

__all__ = ["PATHOLOGIES", "add_arguments", "plan"]
