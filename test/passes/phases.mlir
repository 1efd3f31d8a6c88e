// RUN: rm -rf %t && mkdir %t
// RUN: ds-opt --ds-phases=dump=%t %S/Inputs/tiny.mlir > %t/all.mlir
// RUN: FileCheck --check-prefix=SIMPLIFY %s < %t/1-simplify.mlir
// RUN: FileCheck --check-prefix=OPTIMISE %s < %t/3-optimise.mlir
// RUN: diff %t/5-schedule.mlir %t/all.mlir
// RUN: ds-opt --ds-phases=to=optimise %S/Inputs/tiny.mlir | diff %t/3-optimise.mlir -
// RUN: FileCheck --check-prefix=ALL %s < %t/all.mlir
// RUN: ds-opt --ds-phases %t/3-optimise.mlir | diff %t/all.mlir -

// SIMPLIFY: ds.swiglu
// OPTIMISE: ds.rope_append
// OPTIMISE: ds.gated_linear
// OPTIMISE-NOT: ds.swiglu

// One layer is seven kernels; equal norms are one.
// ALL-LABEL: func private @layer
// ALL: ds.kernel.row @row_norm1
// ALL: ds.kernel.matmul @matmul_qkv
// ALL: ds.kernel.heads @heads_rope_append
// ALL: ds.kernel.attention @attention
// ALL: ds.kernel.matmul @matmul_o {{.*}} extras(
// ALL: ds.kernel.row @row_norm1
// ALL: ds.kernel.matmul @matmul_gate_up {{.*}} pair
// ALL: ds.kernel.matmul @matmul_down {{.*}} extras(
// ALL-NOT: ds.kernel
// ALL-LABEL: func @forward
// ALL: ds.kernel.angles @angles
// ALL: ds.kernel.embed @embed {{.*}} layout panel_bf16
// ALL: ds.run @layer
// ALL: ds.kernel.row @row_norm1
// ALL: ds.kernel.matmul @matmul_embed {{.*}} rows
// ALL-NOT: ds.kernel
