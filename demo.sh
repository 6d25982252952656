#!/bin/sh
# Synthetic brain slices; random against learned transformations; predictions. What `make demo` runs.
set -eu
cd "$(dirname "$0")"
configs=bundles/brain_mri_learned_transforms/configs
python -m data_prep phantom --kind brain --target demo/data

dials='--bundle_root demo --dataset_dir demo/data --image_size 64 --channels [8,16,32,64]'
training='--epochs 20 --snapshot_interval 5 --learning_rate 0.003 --label_fraction 0.5'
run() { python -W ignore -m monai.bundle run --logging_file False $dials "$@" >demo/log.txt; }

for strategy in random_supervised self_supervised_supervised; do
  echo "== $strategy"
  files="'$configs/train.json','$configs/strategy_$strategy.json'"
  run $training --config_file "[$files]" --policy_grid 4 --policy_update shared
  run $training --config_file "[$files,'$configs/evaluate.json']" --policy_grid 4 --policy_update shared
done
run --config_file "$configs/inference.json" --dataset_dir demo/data/images --output_dir demo/predictions

echo
python -m common.report demo/eval --output demo/report.html --title "Demo: brain phantom"
echo "predictions: demo/predictions/predictions.csv"
