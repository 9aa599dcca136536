"""Fine-tuning of any float graph under a precision plan, through the integer simulation. Imports TensorFlow.

task        what there is to learn from: labelled captures, or samples alone; its loss and its judgement
loop        fixed-shape steps, averaged weights, checkpoints, the same run after a resume
finetune    the whole: student, teacher, float twin, and the folder that holds the result
"""
