#!/bin/sh
# Synthetic brain slices; random and learned transformations against an untrained encoder; predictions.
# What `make demo` runs; SEED=1 sh demo.sh repeats it with another seed of training.
set -eu
cd "$(dirname "$0")"
rm -rf demo # of a run before
configs=bundles/brain_mri_learned_transforms/configs
python -m data_prep phantom --kind brain --contrast 0.25 --target demo/data

dials='--output_dir demo/eval --ckpt_dir demo/models --dataset_dir demo/data'
training="--image_size 64 --channels [8,16,32,64] --epochs 20 --snapshot_interval 10 --learning_rate 0.002 --batch_size 16 --label_fraction 1.0 --seed ${SEED:-0}"
run() { python -W ignore -m monai.bundle run --logging_file False $dials "$@" >demo/log.txt; }
train_and_evaluate() { # overlay, then the dials of its own
  files="'$configs/train.json','$configs/$1.json'"
  shift
  run $training --config_file "[$files]" "$@"
  run $training --config_file "[$files,'$configs/evaluate.json']" "$@"
}

# Both with the weight 10 on the labelled images (Table 2, second row): the default weights, and M's
# default rate, stayed at chance in two minutes. Rate, length and contrast: what learns with every seed.
echo "== random transformations, with supervision"
train_and_evaluate strategy_random_supervised
echo "== learned transformations, with supervision"
train_and_evaluate alpha_0p1_10_0p1_10_10 --strategy self_supervised_supervised \
  --title 'Learned + supervision' \
  --policy_grid 4 --update shared --policy_learning_rate 0.0001
run --config_file "$configs/inference.json" --dataset_dir demo/data/images --output_dir demo/predictions

echo
python -m common.report demo/eval --output demo/report.html --title "Demo: brain phantom"
echo "predictions: demo/predictions/predictions.csv"
