// RUN: ds-opt --ds-name-values --mlir-print-debuginfo --mlir-print-local-scope %s | FileCheck %s
// RUN: ds-opt --ds-name-values --ds-name-values --mlir-print-debuginfo --mlir-print-local-scope %s | FileCheck %s
// RUN: ds-opt --ds-name-values --ds-fuse-swiglu --ds-fuse-projections --mlir-print-debuginfo --mlir-print-local-scope %s | FileCheck --check-prefix=FUSED %s

ds.weight @g {labels = ["g"], rows = array<i64: 32>} : tensor<32x64xbf16>
ds.weight @u {labels = ["u"], rows = array<i64: 32>} : tensor<32x64xbf16>

// Reads of weights have no names; the second operation at a place is told from
// the first.
// CHECK-LABEL: func @f
// CHECK: ds.get_weight @g : tensor<32x64xbf16> loc("m.ds":1:2)
// CHECK: ds.linear {{.*}} loc("f/ds.linear@3:4"("m.ds":3:4))
// CHECK: ds.linear {{.*}} loc("f/ds.linear@3:4#2"("m.ds":3:4))
// CHECK: ds.swiglu {{.*}} loc("f/ds.swiglu@5:6"("m.ds":5:6))

// What a fusion makes has the name of the last operation.
// FUSED-LABEL: func @f
// FUSED: ds.gated_linear {{.*}} loc("f/ds.swiglu@5:6"("m.ds":5:6))
func.func @f(%x: tensor<?x64xbf16>) -> tensor<?x32xbf16> {
  %g = ds.get_weight @g : tensor<32x64xbf16> loc("m.ds":1:2)
  %u = ds.get_weight @u : tensor<32x64xbf16> loc("m.ds":1:2)
  %a = ds.linear %x, %g : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16> loc("m.ds":3:4)
  %b = ds.linear %x, %u : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16> loc("m.ds":3:4)
  %y = ds.swiglu %a, %b : tensor<?x32xbf16> loc("m.ds":5:6)
  return %y : tensor<?x32xbf16>
}
