# Runs the compilation and the first use from a page's commands; the rest of
# them need a model.
set -e
sed '/^dscc/,$d' "$1" > first-two.sh
. ./first-two.sh
