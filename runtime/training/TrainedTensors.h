//===- TrainedTensors.h - Tensors of a trainer in files -------------------===//
#ifndef DS_RUNTIME_TRAINING_TRAINEDTENSORS_H
#define DS_RUNTIME_TRAINING_TRAINEDTENSORS_H

#include "runtime/training/TensorWriter.h"
#include "runtime/training/Trainer.h"

namespace ds::runtime {

/// Fills a copy of the weights from tensors named `prefix` + name of the
/// checkpoint `path`. Without a prefix it has to be one of the model, with all
/// its tensors and no others.
Status loadTensors(Trainer &trainer, TrainedCopy copy, const std::string &path,
                   const std::string &prefix);

/// Returns how to write a copy of every tensor, named `prefix` + name.
std::vector<TensorPlan> planTensors(const Trainer &trainer,
                                    const std::string &prefix, bool bf16,
                                    bool frozen);

/// Writes them, from tensor `first` of the writer on.
Status writeTensors(const Trainer &trainer, TrainedCopy copy, bool frozen,
                    size_t first, TensorWriter &writer);

/// Returns how to write the copies of tensors that a checkpoint of the model
/// has (WeightSpec::copies), and writes them from tensor `first` of the writer
/// on.
std::vector<TensorPlan> planCopies(const Trainer &trainer, bool bf16);
Status writeCopies(const Trainer &trainer, size_t first, TensorWriter &writer);

} // namespace ds::runtime

#endif // DS_RUNTIME_TRAINING_TRAINEDTENSORS_H
