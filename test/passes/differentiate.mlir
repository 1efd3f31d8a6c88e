// RUN: ds-opt --ds-phases=to=differentiate %S/Inputs/tiny-train.mlir | FileCheck --check-prefix=FUSED %s
// RUN: ds-opt --ds-differentiate --ds-checkpoint-activations --canonicalize --cse %S/Inputs/tiny-train.mlir | FileCheck --check-prefix=LOOSE %s
// RUN: ds-opt --ds-differentiate --canonicalize --cse --split-input-file %s | FileCheck %s
// RUN: ds-opt %S/Inputs/tiny.mlir > %t
// RUN: ds-opt --ds-differentiate %S/Inputs/tiny.mlir | diff %t -

// Fused operations have one product for the gradient of the input and one for
// that of the weight. Gradients of the residual are f32, others bf16.
// FUSED-NOT: func private @layer(
// FUSED-LABEL: func private @layer.forward
// FUSED: ds.swiglu_pairs
// FUSED-LABEL: func private @layer.backward(%arg0: tensor<?x64xf32>, %arg1: !ds.seq, %arg2: tensor<?x64xf32>
// FUSED-NOT: ds.rope_append
// FUSED-NOT: ds.attend %
// FUSED-NOT: ds.linear %
// FUSED: %[[DY:.*]] = arith.truncf %arg0 : tensor<?x64xf32> to tensor<?x64xbf16>
// FUSED: %[[GD:.*]] = ds.get_gradient @layer.mlp.down : tensor<64x176xf32>
// FUSED: ds.accumulate_outer %[[GD]], %[[DY]], %[[Z:.*]] : tensor<64x176xf32>, tensor<?x64xbf16>, tensor<?x176xbf16>
// FUSED: %[[DZ:.*]] = ds.linear_t %[[DY]], %{{.*}} : (tensor<?x64xbf16>, tensor<64x176xbf16>) -> tensor<?x176xbf16>
// FUSED: %[[DGU:.*]] = ds.swiglu_pairs_backward %{{.*}}, %[[DZ]] : tensor<?x352xbf16>, tensor<?x176xbf16>
// FUSED: %[[GGU:.*]] = ds.get_gradient @layer.mlp.gate_up : tensor<352x64xf32>
// FUSED: ds.accumulate_outer %[[GGU]], %[[DGU]]
// FUSED: %[[DH:.*]] = ds.linear_t %[[DGU]]
// FUSED: %[[DX:.*]], %[[R:.*]] = ds.rms_norm_backward %[[X1:.*]], %{{.*}}, %[[DH]]
// FUSED: ds.accumulate_norm %{{.*}}, %[[DH]], %[[X1]], %[[R]]
// FUSED: %[[DX1:.*]] = arith.addf %[[DX]], %arg0 : tensor<?x64xf32>
// FUSED: arith.truncf %[[DX1]]
// FUSED: %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = ds.attend_backward
// FUSED: %[[BQ:.*]] = ds.rope %[[DQ]], %arg1 heads 8 {{.*}} inverse
// FUSED: %[[BK:.*]] = ds.rope %[[DK]], %arg1 heads 2 {{.*}} inverse
// FUSED: %[[ROW:.*]] = ds.concat_columns %[[BQ]], %[[BK]], %[[DV]]
// FUSED: %[[GQKV:.*]] = ds.get_gradient @layer.attention.qkv : tensor<96x64xf32>
// FUSED: ds.accumulate_outer %[[GQKV]], %[[ROW]]
// FUSED: ds.linear_t %[[ROW]]
// FUSED: %[[OUT:.*]] = arith.addf %{{.*}}, %[[DX1]] : tensor<?x64xf32>
// FUSED-NEXT: return %[[OUT]] : tensor<?x64xf32>

// The head and the embedding are one weight: one gradient, the head's first.
// The states of the backward are those that the forward has left.
// FUSED-LABEL: func @train
// FUSED: %[[STEP:.*]]:9 = ds.run @layer.forward({{.*}}) layers 0 count 3
// FUSED: %[[P:.*]], %[[LSE:.*]] = ds.linear_log_prob
// FUSED: %[[SHARE:.*]] = ds.row_input "token_weight"
// FUSED: %[[D:.*]] = arith.negf %[[SHARE]] : tensor<?x1xf32>
// FUSED: %[[G:.*]] = ds.get_gradient @embed : tensor<301x64xf32>
// FUSED: ds.linear_log_prob_backward {{.*}}, %[[LSE]], %[[D]] into %[[G]]
// FUSED: ds.scatter_rows
// FUSED: ds.rms_norm_backward %[[STEP]]#0
// FUSED: %[[DX0:.*]] = ds.run @layer.backward(%{{.*}}, %arg0, %[[STEP]]#3, %[[STEP]]#4, %[[STEP]]#5, %[[STEP]]#6, %[[STEP]]#7, %[[STEP]]#8, %[[STEP]]#1, %[[STEP]]#2) layers 0 count 3 reverse
// FUSED: ds.accumulate_embedding %[[G]], %[[DX0]], %arg0
// FUSED-NEXT: return %{{.*}}, %[[P]]
// FUSED-LABEL: func @update() attributes {ds.entry = "update"}
// FUSED: ds.square_sum @embed
// FUSED: ds.adamw @layer.mlp.down

// Separate operations have derivatives too. Of values read twice, the
// gradients are added in f32 in the order of the uses and rounded once.
// LOOSE-LABEL: func private @layer.backward
// LOOSE: %[[DG:.*]], %[[DU:.*]] = ds.swiglu_backward
// LOOSE: %[[HU:.*]] = ds.linear_t %[[DU]]
// LOOSE: %[[HG:.*]] = ds.linear_t %[[DG]]
// LOOSE: %[[A:.*]] = arith.extf %[[HG]]
// LOOSE: %[[B:.*]] = arith.extf %[[HU]]
// LOOSE: %[[SUM:.*]] = arith.addf %[[A]], %[[B]] : tensor<?x64xf32>
// LOOSE: %[[H:.*]] = arith.truncf %[[SUM]]
// LOOSE: ds.rms_norm_backward %{{.*}}, %{{.*}}, %[[H]]
// LOOSE: %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = ds.attend_backward
// LOOSE: ds.accumulate_outer %{{.*}}, %[[DV]]
// LOOSE: ds.rope %[[DK]], %arg1 heads 2 {{.*}} inverse
// LOOSE: ds.rope %[[DQ]], %arg1 heads 8 {{.*}} inverse
// LOOSE-LABEL: func @train
// LOOSE: %[[BACK:.*]] = ds.log_prob_backward {{.*}} -> tensor<?x301xf32>
// LOOSE: %[[ROUND:.*]] = arith.truncf %[[BACK]] : tensor<?x301xf32> to tensor<?x301xbf16>
// LOOSE: ds.accumulate_outer %{{.*}}, %[[ROUND]]

ds.weight @a.q {labels = ["q"], rows = array<i64: 32>} : tensor<32x32xf32>
ds.weight @a.qb {labels = ["qb"], rows = array<i64: 32>, frozen} : tensor<32xf32>
ds.weight @a.kb {labels = ["kb"], rows = array<i64: 16>} : tensor<16xf32>
ds.weight @a.k {labels = ["k"], rows = array<i64: 16>, frozen} : tensor<16x32xf32>
ds.weight @a.v {labels = ["v"], rows = array<i64: 16>} : tensor<16x32xf32>
ds.weight @embed {labels = ["e"], rows = array<i64: 48>, frozen} : tensor<48x32xf32>
ds.weight @head {labels = ["h"], rows = array<i64: 48>} : tensor<48x32xf32>

// Biases, frozen weights, and a loss with a stopped gradient and a minimum. What
// leads to frozen weights alone has no gradient.
// CHECK-LABEL: func @train
// CHECK: %[[P:.*]], %[[LSE:.*]] = ds.log_prob
// CHECK: %[[RATIO:.*]] = math.exp
// CHECK: %[[A:.*]] = ds.row_input "advantage"
// CHECK: %[[C:.*]] = ds.row_input "ceiling"
// CHECK: %[[ONE:.*]] = ds.fill 1.0
// CHECK: %[[MINUS:.*]] = arith.negf %[[ONE]]
// CHECK: %[[D:.*]] = arith.mulf %[[MINUS]], %[[A]]
// CHECK: %[[LESS:.*]] = ds.select_less %[[RATIO]], %[[C]], %[[D]]
// CHECK: %[[DP:.*]] = arith.mulf %[[LESS]], %[[RATIO]]
// CHECK: ds.log_prob_backward {{.*}}, %[[LSE]], %[[DP]]
// CHECK: ds.get_gradient @head
// CHECK: %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = ds.attend_backward
// CHECK-NOT: ds.linear_t
// CHECK: ds.get_gradient @a.v
// CHECK: ds.accumulate_outer %{{.*}}, %[[DV]]
// CHECK-NOT: ds.linear_t
// CHECK: ds.get_gradient @a.kb
// CHECK: ds.accumulate_columns %{{.*}}, %[[DK]]
// CHECK-NOT: ds.linear_t
// CHECK: ds.get_gradient @a.q :
// CHECK: ds.accumulate_outer %{{.*}}, %[[DQ]]
// CHECK-NOT: ds.accumulate
// CHECK-LABEL: func @update
// CHECK-NOT: @embed
// CHECK-NOT: @a.k{{$}}
// CHECK: ds.adamw @a.kb
func.func @train(%s: !ds.seq, %k: !ds.state<[2, 8], f32> {ds.name = "keys"}, %v: !ds.state<[2, 8], f32> {ds.name = "values"}) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
  %e = ds.get_weight @embed : tensor<48x32xf32>
  %x = ds.embedding %e, %s : tensor<48x32xf32> -> tensor<?x32xf32>
  %wq = ds.get_weight @a.q : tensor<32x32xf32>
  %bq = ds.get_weight @a.qb : tensor<32xf32>
  %q = ds.linear %x, %wq bias %bq : (tensor<?x32xf32>, tensor<32x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
  %wk = ds.get_weight @a.k : tensor<16x32xf32>
  %bk = ds.get_weight @a.kb : tensor<16xf32>
  %kk = ds.linear %x, %wk bias %bk : (tensor<?x32xf32>, tensor<16x32xf32>, tensor<16xf32>) -> tensor<?x16xf32>
  %wv = ds.get_weight @a.v : tensor<16x32xf32>
  %vv = ds.linear %x, %wv : (tensor<?x32xf32>, tensor<16x32xf32>) -> tensor<?x16xf32>
  %k1 = ds.append %k, %kk, %s : !ds.state<[2, 8], f32>, tensor<?x16xf32>
  %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], f32>, tensor<?x16xf32>
  %y = ds.attend %q, %k1, %v1, %s heads 4 scale 0.353 : (tensor<?x32xf32>, !ds.state<[2, 8], f32>, !ds.state<[2, 8], f32>) -> tensor<?x32xf32>
  %r = ds.select_rows %y, %s : tensor<?x32xf32>
  %w = ds.get_weight @head : tensor<48x32xf32>
  %z = ds.linear %r, %w : (tensor<?x32xf32>, tensor<48x32xf32>) -> tensor<?x48xf32>
  %t = ds.row_input "targets", %s : tensor<?x1xi32>
  %i = ds.row_input "inverse_temperature", %s : tensor<?x1xf32>
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x48xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  %stop = ds.stop_gradient %p : tensor<?x1xf32>
  %d = arith.subf %p, %stop : tensor<?x1xf32>
  %ratio = math.exp %d : tensor<?x1xf32>
  %a = ds.row_input "advantage", %s : tensor<?x1xf32>
  %c = ds.row_input "ceiling", %s : tensor<?x1xf32>
  %low = arith.minimumf %ratio, %c : tensor<?x1xf32>
  %g = arith.mulf %low, %a : tensor<?x1xf32>
  %l = arith.negf %g : tensor<?x1xf32>
  return %l, %p : tensor<?x1xf32>, tensor<?x1xf32>
}

// -----

ds.weight @w {labels = ["w"], rows = array<i64: 32>} : tensor<32x32xf32>
ds.weight @head {labels = ["h"], rows = array<i64: 48>} : tensor<48x16xf32>
ds.weight @frozen {labels = ["e"], rows = array<i64: 48>, frozen} : tensor<48x32xf32>

// The gradients of column slices make up that of the row.
// CHECK-LABEL: func @train
// CHECK: %[[DIV:.*]] = arith.divf
// CHECK: %[[DZ:.*]] = ds.linear_t
// CHECK: %[[DL:.*]] = ds.scatter_rows %[[DZ]]
// CHECK: %[[QUOTIENT:.*]] = arith.divf %[[DL]], %[[R:.*]] : tensor<?x16xf32>
// CHECK: %[[PRODUCT:.*]] = arith.mulf %[[QUOTIENT]], %[[DIV]]
// CHECK: %[[DR:.*]] = arith.negf %[[PRODUCT]]
// CHECK: %[[ROW:.*]] = ds.concat_columns %[[QUOTIENT]], %[[DR]]
// CHECK: ds.accumulate_outer %{{.*}}, %[[ROW]]
func.func @train(%s: !ds.seq) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
  %c0 = arith.constant 0 : index
  %e = ds.get_weight @frozen : tensor<48x32xf32>
  %x = ds.embedding %e, %s : tensor<48x32xf32> -> tensor<?x32xf32>
  %w = ds.get_weight @w : tensor<32x32xf32>
  %y = ds.linear %x, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
  %n = tensor.dim %y, %c0 : tensor<?x32xf32>
  %left = tensor.extract_slice %y[0, 0] [%n, 16] [1, 1] : tensor<?x32xf32> to tensor<?x16xf32>
  %right = tensor.extract_slice %y[0, 16] [%n, 16] [1, 1] : tensor<?x32xf32> to tensor<?x16xf32>
  %div = arith.divf %left, %right : tensor<?x16xf32>
  %r = ds.select_rows %div, %s : tensor<?x16xf32>
  %h = ds.get_weight @head : tensor<48x16xf32>
  %z = ds.linear %r, %h : (tensor<?x16xf32>, tensor<48x16xf32>) -> tensor<?x48xf32>
  %t = ds.row_input "targets", %s : tensor<?x1xi32>
  %i = ds.row_input "inverse_temperature", %s : tensor<?x1xf32>
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x48xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %p, %p : tensor<?x1xf32>, tensor<?x1xf32>
}
