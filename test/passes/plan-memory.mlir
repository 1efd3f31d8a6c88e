// RUN: ds-opt --ds-plan-memory --split-input-file %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-plan-memory --split-input-file %t | diff %t -

// The residual stays in the embedding's buffer; what does not live at the same
// time shares space; the peak is that of %c's launch: 128 + 256 + 128.
module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
  ds.weight @t layout raw {labels = ["t"], rows = array<i64: 8>} : tensor<8x32xf32>
  ds.weight @w layout panel_f32 {labels = ["w"], rows = array<i64: 64>, layers = array<i64: 0, 2>} : tensor<64x32xf32>
  ds.weight @u layout panel_f32 {labels = ["u"], rows = array<i64: 32>, layers = array<i64: 0, 2>} : tensor<32x64xf32>

  // CHECK-LABEL: func private @layer
  // CHECK: ds.kernel.elementwise @b(%arg0) {ds.buffer = array<i64: 1>}
  // CHECK: ds.kernel.matmul @c {{.*}} {ds.buffer = array<i64: 2>}
  // CHECK: ds.kernel.matmul @d {{.*}} {ds.buffer = array<i64: 0>}
  func.func private @layer(%x: tensor<?x32xf32>, %s: !ds.seq) -> tensor<?x32xf32> {
    %w = ds.get_weight @w : tensor<64x32xf32>
    %u = ds.get_weight @u : tensor<32x64xf32>
    %b = ds.kernel.elementwise @b(%x) : (tensor<?x32xf32>) -> tensor<?x32xf32> {
    ^bb0(%e: f32):
      ds.yield %e : f32
    }
    %c = ds.kernel.matmul @c %b, %w : (tensor<?x32xf32>, tensor<64x32xf32>) -> tensor<?x64xf32> {
    ^bb0(%e: f32):
      ds.yield %e : f32
    }
    %d = ds.kernel.matmul @d %c, %u extras(%x : tensor<?x32xf32>) : (tensor<?x64xf32>, tensor<32x64xf32>) -> tensor<?x32xf32> {
    ^bb0(%e: f32, %r: f32):
      %y = arith.addf %e, %r : f32
      ds.yield %y : f32
    }
    return %d : tensor<?x32xf32>
  }

  // CHECK-LABEL: func @forward
  // CHECK-SAME: ds.arena = #ds.bytes<perT = 512, perR = 0, constant = 64>
  // CHECK-SAME: #ds.buffer<name = "embed", rows = "T", rowBytes = 128, layers = 1, element = f32, offset = <perT = [[#]], perR = 0, constant = 0>>
  // CHECK: ds.kernel.embed @embed {{.*}} {ds.buffer = array<i64: 0>}
  // CHECK: ds.run @layer{{.*}} {ds.buffer = array<i64: 0>}
  // CHECK: ds.kernel.elementwise @e(%{{.+}}) {ds.buffer = array<i64: 0>}
  func.func @forward(%s: !ds.seq) -> tensor<?x32xf32> attributes {ds.entry = "infer"} {
    %t = ds.get_weight @t : tensor<8x32xf32>
    %x = ds.kernel.embed @embed %t, %s layout raw : tensor<8x32xf32> -> tensor<?x32xf32>
    %y = ds.run @layer(%x, %s) layers 0 count 2 : (tensor<?x32xf32>, !ds.seq) -> tensor<?x32xf32>
    %z = ds.kernel.elementwise @e(%y) : (tensor<?x32xf32>) -> tensor<?x32xf32> {
    ^bb0(%e: f32):
      ds.yield %e : f32
    }
    return %z : tensor<?x32xf32>
  }
}

// -----

// What a body returns is made while its activation is still read, and the
// activation is read after the run: two copies. Bodies of two runs share space.
module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
  ds.weight @t layout raw {labels = ["t"], rows = array<i64: 8>} : tensor<8x32xf32>
  ds.weight @w layout panel_f32 {labels = ["w"], rows = array<i64: 32>, layers = array<i64: 0, 4>} : tensor<32x32xf32>

  // CHECK-LABEL: func private @layer
  // CHECK: %[[C:.+]] = ds.kernel.matmul @c {{.*}} {ds.buffer = array<i64: [[C1:[0-9]+]], [[C2:[0-9]+]]>}
  // CHECK: %[[Y:.+]] = ds.kernel.elementwise @elementwise_copy_T_f32_32(%{{.+}}) {ds.buffer = array<i64: [[CARRY:[0-9]+]], [[CARRY]]>}
  // CHECK: return %[[Y]]
  func.func private @layer(%x: tensor<?x32xf32>, %s: !ds.seq) -> tensor<?x32xf32> {
    %w = ds.get_weight @w : tensor<32x32xf32>
    %c = ds.kernel.matmul @c %x, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> {
    ^bb0(%e: f32):
      ds.yield %e : f32
    }
    return %c : tensor<?x32xf32>
  }

  // CHECK-LABEL: func @forward
  // CHECK-SAME: ds.arena = #ds.bytes<perT = 384,
  // CHECK: %[[X:.+]] = ds.kernel.embed {{.*}} {ds.buffer = array<i64: 0>}
  // CHECK: %[[COPY:.+]] = ds.kernel.elementwise @elementwise_copy_T_f32_32(%[[X]]) {ds.buffer = array<i64: 1>}
  // CHECK: ds.run @layer(%[[COPY]]
  func.func @forward(%s: !ds.seq) -> tensor<?x32xf32> attributes {ds.entry = "infer"} {
    %t = ds.get_weight @t : tensor<8x32xf32>
    %x = ds.kernel.embed @embed %t, %s layout raw : tensor<8x32xf32> -> tensor<?x32xf32>
    %y = ds.run @layer(%x, %s) layers 0 count 2 : (tensor<?x32xf32>, !ds.seq) -> tensor<?x32xf32>
    %y2 = ds.run @layer(%y, %s) layers 2 count 2 : (tensor<?x32xf32>, !ds.seq) -> tensor<?x32xf32>
    %z = ds.kernel.elementwise @e(%y2, %x) : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32> {
    ^bb0(%e: f32, %f: f32):
      %r = arith.addf %e, %f : f32
      ds.yield %r : f32
    }
    return %z : tensor<?x32xf32>
  }
}

// -----

// A tensor that every layer reads is not written over by one of them, and a
// product does not write over the rows it reads.
// CHECK: module attributes
module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
  ds.weight @t layout raw {labels = ["t"], rows = array<i64: 8>} : tensor<8x32xf32>
  ds.weight @w layout panel_f32 {labels = ["w"], rows = array<i64: 32>} : tensor<32x32xf32>

  // CHECK-LABEL: func private @layer
  // CHECK: ds.kernel.elementwise @square(%arg2) {ds.buffer = array<i64: 2>}
  // CHECK: ds.kernel.elementwise @add(%arg0, %{{.+}}) {ds.buffer = array<i64: 0>}
  func.func private @layer(%x: tensor<?x32xf32>, %s: !ds.seq, %a: tensor<?x32xf32>) -> tensor<?x32xf32> {
    %b = ds.kernel.elementwise @square(%a) : (tensor<?x32xf32>) -> tensor<?x32xf32> {
    ^bb0(%e: f32):
      %r = arith.mulf %e, %e : f32
      ds.yield %r : f32
    }
    %y = ds.kernel.elementwise @add(%x, %b) : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32> {
    ^bb0(%e: f32, %f: f32):
      %r = arith.addf %e, %f : f32
      ds.yield %r : f32
    }
    return %y : tensor<?x32xf32>
  }

  // CHECK-LABEL: func @forward
  // CHECK: ds.kernel.embed @embed {{.*}} {ds.buffer = array<i64: 0>}
  // CHECK: ds.kernel.embed @embed {{.*}} {ds.buffer = array<i64: 1>}
  // CHECK: ds.kernel.matmul @both {{.*}} {ds.buffer = array<i64: 3>}
  func.func @forward(%s: !ds.seq) -> tensor<?x32xf32> attributes {ds.entry = "infer"} {
    %t = ds.get_weight @t : tensor<8x32xf32>
    %w = ds.get_weight @w : tensor<32x32xf32>
    %x = ds.kernel.embed @embed %t, %s layout raw : tensor<8x32xf32> -> tensor<?x32xf32>
    %a = ds.kernel.embed @embed %t, %s layout raw : tensor<8x32xf32> -> tensor<?x32xf32>
    %y = ds.run @layer(%x, %s, %a) layers 0 count 2 : (tensor<?x32xf32>, !ds.seq, tensor<?x32xf32>) -> tensor<?x32xf32>
    %z = ds.kernel.matmul @both %y, %w extras(%y : tensor<?x32xf32>) : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> {
    ^bb0(%e: f32, %f: f32):
      %r = arith.addf %e, %f : f32
      ds.yield %r : f32
    }
    return %z : tensor<?x32xf32>
  }
}

// -----

// Two results of one kernel take the places of two operands, never of one.
module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
  ds.weight @t layout raw {labels = ["t"], rows = array<i64: 8>} : tensor<8x32xf32>
  // CHECK-LABEL: func @forward
  // CHECK: ds.kernel.elementwise @both(%{{.+}}, %{{.+}}) {ds.buffer = array<i64: 0, 1>}
  // CHECK: ds.kernel.elementwise @three(%{{.+}}) {ds.buffer = array<i64: 0, 2>}
  func.func @forward(%s: !ds.seq) -> tensor<?x32xf32> attributes {ds.entry = "infer"} {
    %t = ds.get_weight @t : tensor<8x32xf32>
    %x = ds.kernel.embed @embed %t, %s layout raw : tensor<8x32xf32> -> tensor<?x32xf32>
    %a = ds.kernel.embed @embed %t, %s layout raw : tensor<8x32xf32> -> tensor<?x32xf32>
    %y, %z = ds.kernel.elementwise @both(%x, %a) : (tensor<?x32xf32>, tensor<?x32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
    ^bb0(%e: f32, %f: f32):
      %r = arith.addf %e, %f : f32
      %q = arith.mulf %e, %f : f32
      ds.yield %r, %q : f32, f32
    }
    %u, %v = ds.kernel.elementwise @three(%y) : (tensor<?x32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
    ^bb0(%e: f32):
      %r = arith.addf %e, %e : f32
      %q = arith.mulf %e, %e : f32
      ds.yield %r, %q : f32, f32
    }
    %w = ds.kernel.elementwise @sum(%u, %v, %z) : (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32> {
    ^bb0(%e: f32, %f: f32, %g: f32):
      %r = arith.addf %e, %f : f32
      %q = arith.mulf %r, %g : f32
      ds.yield %q : f32
    }
    return %w : tensor<?x32xf32>
  }
}
