// RUN: dscc %golden/deepseek-v3 --models=%models --emit=ds --entry=infer,train --objective=lm | ds-opt --ds-phases=to=differentiate | FileCheck %s
// RUN: dscc %golden/deepseek-v3 --models=%models --emit=ds --entry=infer,train --objective=cross_entropy | ds-opt --ds-phases=to=differentiate | FileCheck --check-prefix=WITHOUT %s

// WITHOUT-NOT: balance_rate
// WITHOUT-NOT: ds.auxiliary
// WITHOUT-NOT: ds.expert_load
// WITHOUT-NOT: ds.accumulate_picks
// WITHOUT-NOT: ds.balance_step

// What serves has neither the loss nor the counts.
// CHECK: ds.weight @layer_1.experts.bias {balance_rate = 1.000000e-03 : f64, frozen
// CHECK-LABEL: func.func private @Layer_1(
// CHECK-NOT: ds.expert_load
// CHECK-NOT: ds.normalise
// CHECK-NOT: ds.accumulate_picks
// CHECK-NOT: ds.auxiliary

// The forward counts what the router picked, with its bias, and returns the
// loss's rows; its own picks are those of the plain scores.
// CHECK-LABEL: func.func private @Layer_1.forward(
// CHECK: %[[SCORES:.*]] = ds.sigmoid
// CHECK: %[[PICKS:.*]] = ds.top_k %[[SCORES]] bias
// CHECK: %[[COUNTS:.*]] = ds.get_gradient @layer_1.experts.bias
// CHECK: ds.accumulate_picks %[[COUNTS]], %[[PICKS]]
// CHECK: %[[NORMAL:.*]] = ds.normalise %[[SCORES]]
// CHECK: %[[PLAIN:.*]] = ds.top_k %[[SCORES]] k 3
// CHECK: %[[LOAD:.*]] = ds.expert_load %[[PLAIN]], %arg1 groups 16 expected 3 per_sequence
// CHECK: %[[DOT:.*]] = ds.dot_columns %[[NORMAL]], %[[LOAD]] scale 1.000000e-03
// CHECK: %[[SHARE:.*]] = ds.row_input "sequence_share", %arg1 tokens
// CHECK: arith.mulf %[[DOT]], %[[SHARE]]

// Its gradient begins with the shares and joins that of the weights.
// CHECK-LABEL: func.func private @Layer_1.backward(
// CHECK-NOT: ds.accumulate_picks
// CHECK: %[[LOAD:.*]] = ds.expert_load
// CHECK: %[[SHARE:.*]] = ds.row_input "sequence_share"
// CHECK: %[[DPICK:.*]] = ds.pick_backward
// CHECK: %[[DNORMAL:.*]] = ds.scale_columns %[[LOAD]], %[[SHARE]] scale 1.000000e-03
// CHECK: %[[DSCORES:.*]] = ds.normalise_backward %{{.*}}, %[[DNORMAL]]
// CHECK: arith.addf %[[DSCORES]], %[[DPICK]]

// The layers of the model, then that of its draft head.
// CHECK-LABEL: func.func @train(
// CHECK-SAME: !ds.stack<tensor<?x1xf32>, layers = 2>, !ds.stack<tensor<?x1xf32>, layers = 1>)
// CHECK-SAME: ds.auxiliary = ["balance", "balance"]

// The bias has no norm and no step of AdamW.
// CHECK-LABEL: func.func @update()
// CHECK-NOT: ds.square_sum @layer_1.experts.bias
// CHECK-NOT: ds.adamw @layer_1.experts.bias
// CHECK: ds.balance_step @layer_1.experts.bias rate 1.000000e-03
