// RUN: ds-opt %s | ds-opt | FileCheck %s
// RUN: ds-opt --mlir-print-op-generic %s | ds-opt | FileCheck %s

ds.weight @norm {labels = ["norm"], rows = array<i64: 64>, init = #ds.init<ones>} : tensor<64xbf16>
ds.weight @head {labels = ["head"], rows = array<i64: 301>, init = #ds.init<normal, std = 2.0e-2>, decay} : tensor<301x64xbf16>
ds.weight @table {labels = ["table"], rows = array<i64: 301>, frozen} : tensor<301x64xbf16>
// CHECK: ds.weight @norm {init = #ds.init<ones>, labels = ["norm"], rows = array<i64: 64>} : tensor<64xbf16>
// CHECK: ds.weight @head {decay, init = #ds.init<normal, std = 2.000000e-02 : f64>, labels = ["head"], rows = array<i64: 301>}
// CHECK: ds.weight @table {frozen, labels = ["table"], rows = array<i64: 301>}

// CHECK-LABEL: func @rows
func.func @rows(%s: !ds.seq, %x: tensor<?x64xbf16>) {
  // CHECK: ds.row_input "targets", %{{.*}} : tensor<?x1xi32>
  %t = ds.row_input "targets", %s : tensor<?x1xi32>
  // CHECK: ds.row_input "advantage", %{{.*}} : tensor<?x1xf32>
  %a = ds.row_input "advantage", %s : tensor<?x1xf32>
  // CHECK: ds.fill 1.000000e+00, %{{.*}} : tensor<?x1xf32>
  %one = ds.fill 1.0, %s : tensor<?x1xf32>
  // CHECK: ds.stop_gradient %{{.*}} : tensor<?x1xf32>
  %stop = ds.stop_gradient %a : tensor<?x1xf32>
  // CHECK: ds.select_less %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x1xf32>
  %less = ds.select_less %stop, %one, %a : tensor<?x1xf32>
  // CHECK: ds.view_seq %{{.*}} following
  %next = ds.view_seq %s following
  // CHECK: ds.scatter_rows %{{.*}}, %{{.*}} : tensor<?x64xbf16>
  %y = ds.scatter_rows %x, %s : tensor<?x64xbf16>
  return
}

// CHECK-LABEL: func @losses
func.func @losses(%x: tensor<?x64xbf16>, %w: tensor<301x64xbf16>, %z: tensor<?x301xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) {
  // CHECK: %[[P:.*]], %[[L:.*]] = ds.log_prob %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  // CHECK: ds.log_prob_backward %{{.*}}, %{{.*}}, %{{.*}}, %[[L]], %[[P]] : {{.*}} -> tensor<?x301xbf16>
  %d = ds.log_prob_backward %z, %t, %i, %lse, %p : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?x301xbf16>
  // CHECK: ds.linear_log_prob %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  %p1, %lse1 = ds.linear_log_prob %x, %w, %t, %i : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  // CHECK: %[[G:.*]] = ds.get_gradient @head : tensor<301x64xf32>
  %g = ds.get_gradient @head : tensor<301x64xf32>
  // CHECK: ds.linear_log_prob_backward {{.*}} into %[[G]] : {{.*}} -> tensor<?x64xbf16>
  %dx = ds.linear_log_prob_backward %x, %w, %t, %i, %lse1, %p1 into %g : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<301x64xf32>) -> tensor<?x64xbf16>
  // CHECK: ds.linear_log_prob_backward
  // CHECK-NOT: into
  %dx1 = ds.linear_log_prob_backward %x, %w, %t, %i, %lse1, %p1 : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?x64xbf16>
  return
}

// CHECK-LABEL: func @products
func.func @products(%dy: tensor<?x96xbf16>, %x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %s: !ds.seq, %g: tensor<96x64xf32>, %b: tensor<96xf32>, %e: tensor<301x64xf32>) {
  // CHECK: ds.linear_t %{{.*}}, %{{.*}} : (tensor<?x96xbf16>, tensor<96x64xbf16>) -> tensor<?x64xbf16>
  %dx = ds.linear_t %dy, %w : (tensor<?x96xbf16>, tensor<96x64xbf16>) -> tensor<?x64xbf16>
  // CHECK: ds.accumulate_outer %{{.*}}, %{{.*}}, %{{.*}} : tensor<96x64xf32>, tensor<?x96xbf16>, tensor<?x64xbf16>
  ds.accumulate_outer %g, %dy, %x : tensor<96x64xf32>, tensor<?x96xbf16>, tensor<?x64xbf16>
  // CHECK: ds.accumulate_columns %{{.*}}, %{{.*}} : tensor<96xf32>, tensor<?x96xbf16>
  ds.accumulate_columns %b, %dy : tensor<96xf32>, tensor<?x96xbf16>
  // CHECK: ds.accumulate_embedding %{{.*}}, %{{.*}}, %{{.*}} : tensor<301x64xf32>, tensor<?x64xbf16>
  ds.accumulate_embedding %e, %x, %s : tensor<301x64xf32>, tensor<?x64xbf16>
  return
}

// CHECK-LABEL: func @elements
func.func @elements(%x: tensor<?x64xf32>, %w: tensor<64xbf16>, %dy: tensor<?x64xbf16>, %g: tensor<64xf32>, %gu: tensor<?x64xbf16>, %dz: tensor<?x32xbf16>, %s: !ds.seq) {
  // CHECK: %{{.*}}, %[[R:.*]] = ds.rms_norm_backward %{{.*}}, %{{.*}}, %{{.*}} eps 9.9{{.*}}E-7 : {{.*}} -> (tensor<?x64xf32>, tensor<?x1xf32>)
  %dx, %r = ds.rms_norm_backward %x, %w, %dy eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>, tensor<?x64xbf16>) -> (tensor<?x64xf32>, tensor<?x1xf32>)
  // CHECK: ds.accumulate_norm %{{.*}}, %{{.*}}, %{{.*}}, %[[R]] : tensor<64xf32>, tensor<?x64xbf16>, tensor<?x64xf32>, tensor<?x1xf32>
  ds.accumulate_norm %g, %dy, %x, %r : tensor<64xf32>, tensor<?x64xbf16>, tensor<?x64xf32>, tensor<?x1xf32>
  // CHECK: ds.swiglu_backward %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x64xbf16>
  %dg, %du = ds.swiglu_backward %gu, %dy, %dy : tensor<?x64xbf16>
  // CHECK: ds.swiglu_pairs %{{.*}} : tensor<?x64xbf16> -> tensor<?x32xbf16>
  %z = ds.swiglu_pairs %gu : tensor<?x64xbf16> -> tensor<?x32xbf16>
  // CHECK: ds.swiglu_pairs_backward %{{.*}}, %{{.*}} : tensor<?x64xbf16>, tensor<?x32xbf16>
  %dgu = ds.swiglu_pairs_backward %gu, %dz : tensor<?x64xbf16>, tensor<?x32xbf16>
  // CHECK: ds.rope %{{.*}}, %{{.*}} heads 8 <half_split, dims = 8, theta = 1.000000e+04 : f64> inverse : tensor<?x64xbf16>
  %back = ds.rope %dy, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> inverse : tensor<?x64xbf16>
  // CHECK: ds.concat_columns %{{.*}}, %{{.*}} : (tensor<?x64xbf16>, tensor<?x32xbf16>) -> tensor<?x96xbf16>
  %row = ds.concat_columns %back, %z : (tensor<?x64xbf16>, tensor<?x32xbf16>) -> tensor<?x96xbf16>
  return
}

// CHECK-LABEL: func @attention
func.func @attention(%q: tensor<?x64xbf16>, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>, %s: !ds.seq) {
  // CHECK: %[[Y:.*]], %[[L:.*]] = ds.attend {{.*}} -> tensor<?x64xbf16>, tensor<?x8xf32>
  %y, %lse = ds.attend %q, %k, %v, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>, tensor<?x8xf32>
  // CHECK: ds.attend_backward %{{.*}}, %{{.*}}, %{{.*}}, %[[Y]], %[[L]], %[[Y]], %{{.*}} heads 8 scale 3.530000e-01 : {{.*}} -> (tensor<?x64xbf16>, tensor<?x16xbf16>, tensor<?x16xbf16>)
  %dq, %dk, %dv = ds.attend_backward %q, %k, %v, %y, %lse, %y, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>, tensor<?x64xbf16>, tensor<?x8xf32>, tensor<?x64xbf16>, !ds.seq) -> (tensor<?x64xbf16>, tensor<?x16xbf16>, tensor<?x16xbf16>)
  return
}

func.func private @body.forward(%x: tensor<?x64xf32>, %s: !ds.seq) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  return %x, %x : tensor<?x64xf32>, tensor<?x64xf32>
}
func.func private @body.backward(%dy: tensor<?x64xf32>, %s: !ds.seq, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  return %dy : tensor<?x64xf32>
}

// CHECK-LABEL: func @stacks
func.func @stacks(%x: tensor<?x64xf32>, %s: !ds.seq) {
  // CHECK: %[[Y:.*]]:2 = ds.run @body.forward({{.*}}) layers 0 count 3 : {{.*}} -> (tensor<?x64xf32>, !ds.stack<tensor<?x64xf32>, layers = 3>)
  %y:2 = ds.run @body.forward(%x, %s) layers 0 count 3 : (tensor<?x64xf32>, !ds.seq) -> (tensor<?x64xf32>, !ds.stack<tensor<?x64xf32>, layers = 3>)
  // CHECK: ds.run @body.backward(%[[Y]]#0, %{{.*}}, %[[Y]]#1) layers 0 count 3 reverse
  %dx = ds.run @body.backward(%y#0, %s, %y#1) layers 0 count 3 reverse : (tensor<?x64xf32>, !ds.seq, !ds.stack<tensor<?x64xf32>, layers = 3>) -> tensor<?x64xf32>
  return
}

// CHECK-LABEL: func @update
func.func @update() attributes {ds.entry = "update"} {
  // CHECK: ds.square_sum @norm
  ds.square_sum @norm
  // CHECK: ds.adamw @norm
  ds.adamw @norm
  // CHECK: ds.adamw @head {decay}
  ds.adamw @head {decay}
  return
}
