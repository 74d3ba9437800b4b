# Twelve words, one a line.
for word in signal lever block train track points home distant shunt yard bell clock; do
  echo "$word"
done
