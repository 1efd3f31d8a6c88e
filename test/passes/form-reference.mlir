// RUN: ds-opt --ds-form-reference %s | FileCheck %s
// RUN: ds-opt --ds-phases="reference" %S/Inputs/tiny.mlir | FileCheck --check-prefix=TINY %s

// TINY-NOT: ds.kernel.matmul
// TINY: ds.kernel.reference @reference_linear
// TINY-NOT: ds.kernel.attention

// CHECK: ds.weight @w layout raw
ds.weight @w {labels = ["w"], rows = array<i64: 40>} : tensor<40x64xbf16>

// FP8 is decoded when it is loaded.
// CHECK: ds.weight @fp8 layout raw {{.*}} : tensor<40x64xbf16>
// CHECK-LABEL: func @fp8_weight
// CHECK: ds.get_weight @fp8 : tensor<40x64xbf16>
ds.weight @fp8 {labels = ["f"], rows = array<i64: 40>} : tensor<40x64xf8E4M3FN>
func.func @fp8_weight(%x: tensor<?x64xbf16>) -> tensor<?x40xbf16> {
  %w = ds.get_weight @fp8 : tensor<40x64xf8E4M3FN>
  %y = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<40x64xf8E4M3FN>) -> tensor<?x40xbf16>
  return %y : tensor<?x40xbf16>
}

// A slice takes the sizes that it needs with it.
// CHECK-LABEL: func @columns
// CHECK-NOT: tensor.dim
// CHECK: %[[Y:.+]] = ds.kernel.reference @linear(%{{.+}}, %{{.+}}) rows "T"
// CHECK: ds.linear
// CHECK: ds.kernel.reference @extract_slice(%[[Y]]) rows "T"
// CHECK: tensor.dim
// CHECK: tensor.extract_slice
func.func @columns(%x: tensor<?x64xbf16>) -> tensor<?x8xbf16> {
  %w = ds.get_weight @w : tensor<40x64xbf16>
  %y = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<40x64xbf16>) -> tensor<?x40xbf16>
  %zero = arith.constant 0 : index
  %rows = tensor.dim %y, %zero : tensor<?x40xbf16>
  %c = tensor.extract_slice %y[0, 8] [%rows, 8] [1, 1] : tensor<?x40xbf16> to tensor<?x8xbf16>
  return %c : tensor<?x8xbf16>
}

// One operand that stands twice is one of the kernel; routed rows are rows of
// their own.
// CHECK-LABEL: func @routed
// CHECK: ds.kernel.reference @addf(%{{[a-z0-9]+}}) rows "T"
// CHECK: ds.kernel.reference @route(%{{.+}}) rows "T"
// CHECK: ds.kernel.reference @linear(%{{.+}}) rows "T*3"
// CHECK: ds.kernel.reference @combine(%{{.+}}) rows "T"
func.func @routed(%x: tensor<?x64xf32>, %p: tensor<?x3xi32>, %w: tensor<16x64x64xf32>) -> tensor<?x64xf32> {
  %d = arith.addf %x, %x : tensor<?x64xf32>
  %r = ds.route %p : tensor<?x3xi32> -> !ds.routing<experts = 16, picks = 3>
  %y = ds.linear %d, %w routed %r : !ds.routing<experts = 16, picks = 3> gathered : (tensor<?x64xf32>, tensor<16x64x64xf32>) -> tensor<?x64xf32>
  %z = ds.combine %y, %r : (tensor<?x64xf32>, !ds.routing<experts = 16, picks = 3>) -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
