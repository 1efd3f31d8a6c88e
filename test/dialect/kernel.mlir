// RUN: ds-opt %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt %t | diff %t -
// RUN: ds-opt --mlir-print-op-generic %s | ds-opt | diff %t -

// CHECK-LABEL: func @matmul
// CHECK: ds.kernel.matmul @all %{{.+}}, %{{.+}} extras(%{{.+}}, %{{.+}} : tensor<64xf32>, tensor<?x64xf32>) rows %{{.+}} : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32>
// CHECK: ds.kernel.matmul @pair %{{.+}}, %{{.+}} pair : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x32xf32>
func.func @matmul(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>, %b: tensor<64xf32>, %x: tensor<?x64xf32>, %s: !ds.seq) {
  %y = ds.kernel.matmul @all %a, %w extras(%b, %x : tensor<64xf32>, tensor<?x64xf32>) rows %s : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%sum: f32, %bias: f32, %e: f32):
    %r = arith.addf %sum, %bias : f32
    %t = arith.addf %r, %e : f32
    ds.yield %t : f32
  }
  %z = ds.kernel.matmul @pair %a, %w pair : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x32xf32> {
  ^bb0(%g: f32, %u: f32):
    %r = arith.mulf %g, %u : f32
    ds.yield %r : f32
  }
  return
}

// CHECK-LABEL: func @maps
// CHECK: ds.kernel.row @row(%{{.+}}, %{{.+}}) : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xbf16>
// CHECK: ds.kernel.elementwise @elementwise(%{{.+}}, %{{.+}}) : (tensor<?x64xf32>, tensor<?x64xbf16>) -> tensor<?x64xf32>
func.func @maps(%x: tensor<?x64xf32>, %g: tensor<64xf32>) {
  %y = ds.kernel.row @row(%x, %g) : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xbf16> {
  ^bb0(%e: f32, %w: f32):
    %s = ds.row_reduce %e : f32
    %p = arith.mulf %s, %w : f32
    %t = arith.truncf %p : f32 to bf16
    ds.yield %t : bf16
  }
  %z = ds.kernel.elementwise @elementwise(%x, %y) : (tensor<?x64xf32>, tensor<?x64xbf16>) -> tensor<?x64xf32> {
  ^bb0(%e: f32, %f: bf16):
    %t = arith.extf %f : bf16 to f32
    %p = arith.addf %e, %t : f32
    ds.yield %p : f32
  }
  return
}

// CHECK-LABEL: func @tables
// CHECK: ds.kernel.embed @embed %{{.+}}, %{{.+}} layout raw : tensor<301x64xbf16> -> tensor<?x64xf32>
// CHECK: ds.kernel.angles @angles %{{.+}} <half_split, dims = 8, theta = 1.000000e+04 : f64> : tensor<?x8xf32>
func.func @tables(%t: tensor<301x64xbf16>, %s: !ds.seq) {
  %x = ds.kernel.embed @embed %t, %s layout raw : tensor<301x64xbf16> -> tensor<?x64xf32>
  %a = ds.kernel.angles @angles %s <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x8xf32>
  return
}

// CHECK-LABEL: func @heads
// CHECK: ds.kernel.heads @state %{{.+}}, %{{.+}}, %{{.+}} states(%{{.+}})
// CHECK: ds.kernel.heads @result %{{.+}}, %{{.+}}, %{{.+}} <half_split
// CHECK: ds.kernel.attention @attention %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}} heads 2 scale 3.530000e-01
func.func @heads(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) {
  %k1 = ds.kernel.heads @state %x, %a, %s states(%k) <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.segment<begin = 16, heads = 2, dim = 8, rotate = false, dest = key>] {resultSegmentSizes = array<i32: 0, 1>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq, !ds.state<[2, 8], bf16>) -> !ds.state<[2, 8], bf16>
  %q = ds.kernel.heads @result %x, %a, %s <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.segment<begin = 0, heads = 2, dim = 8, rotate = true, dest = result>] {resultSegmentSizes = array<i32: 1, 0>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq) -> tensor<?x16xbf16>
  %y = ds.kernel.attention @attention %q, %k1, %v, %s heads 2 scale 0.353 : (tensor<?x16xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x16xbf16>
  return
}

// CHECK-LABEL: func @memory
// CHECK: ds.arena = #ds.bytes<perT = 512, perR = 1204, constant = 64>
// CHECK-SAME: ds.buffers = [#ds.buffer<name = "x", rows = "T", rowBytes = 256, layers = 1, element = f32, offset = <perT = 0, perR = 0, constant = 0>>]
func.func @memory() attributes {ds.arena = #ds.bytes<perT = 512, perR = 1204, constant = 64>, ds.buffers = [#ds.buffer<name = "x", rows = "T", rowBytes = 256, layers = 1, element = f32, offset = <perT = 0, perR = 0, constant = 0>>]} {
  return
}
