// The plugin of docs/writing-a-pass.md, built as the page says.
// RUN: rm -rf %t && mkdir %t
// RUN: python3 %S/Inputs/extract.py %source/docs/writing-a-pass.md cpp > %t/RopeReach.cpp
// RUN: python3 %S/Inputs/extract.py %source/docs/writing-a-pass.md sh > %t/commands.sh
// RUN: cp %S/../passes/Inputs/tiny.mlir %t/model.mlir
// RUN: cd %t && env SOURCE=%source BUILD=%build sh %S/Inputs/run-first-two.sh commands.sh > out.mlir 2> remarks
// RUN: FileCheck %s < %t/remarks
// RUN: FileCheck --check-prefix=SAME %s < %t/out.mlir
// RUN: not ds-opt --load-pass-plugin=%t/RopeReach.so --pass-pipeline='builtin.module(rope-reach)' %s 2>&1 | FileCheck --check-prefix=ERROR %s
// CHECK: model.mlir:{{.*}}: remark: the slowest of 4 pairs turns by 1.280000e-01 radians over 128 positions
// CHECK: model.mlir:{{.*}}: remark: the slowest of 4 pairs
// SAME: ds.rope
// ERROR: error: expects max_position_embeddings in the module's ds.config
module {
}
